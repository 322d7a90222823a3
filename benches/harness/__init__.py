"""The parts of `benches/gateway`: it reads top down as build, workshop, rows of each proxy, wrk, table."""
