// Shows openapi.json and lets its operations be tried. Everything is put on the page as text, never as markup.
'use strict';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const resolve = (api, part) => {
  if (!part || !part.$ref) return part || {};
  return part.$ref.slice(2).split('/').reduce((at, key) => at[key], api);
};

// A value that fits a schema, to begin with.
const sample = (api, given, depth = 0) => {
  const schema = resolve(api, given);
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (depth > 6) return null;
  const one = (schema.oneOf || schema.anyOf || []).find((it) => it.type !== 'null');
  if (one) return sample(api, one, depth + 1);
  const all = [].concat(schema.type || 'object');
  const type = all.find((it) => it !== 'null');
  if (type === 'array') return [sample(api, schema.items, depth + 1)];
  if (type === 'integer' || type === 'number') return schema.minimum || 0;
  if (type === 'boolean') return false;
  if (type === 'string') return '';
  const entries = Object.entries(schema.properties || {});
  return Object.fromEntries(entries.map(([key, value]) => [key, sample(api, value, depth + 1)]));
};

const field = (id, text, input) => {
  input.id = id;
  return [element('label', { for: id }, text), input];
};

const answer = async (response) => {
  const text = await response.text();
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch (error) {
    // Not JSON: shown as it is.
  }
  return `${response.status} ${response.statusText}\n\n${shown}`;
};

const request = (path, method, inputs, body) => {
  const query = new URLSearchParams();
  let place = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === 'path') place = place.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== '') query.set(parameter.name, input.value);
  }
  const headers = { Accept: 'application/json' };
  const token = document.getElementById('token').value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: method.toUpperCase(), headers, credentials: token ? 'omit' : 'same-origin' };
  if (body) {
    headers['Content-Type'] = body.type;
    options.body = body.type === 'application/json' ? body.input.value : new URLSearchParams(JSON.parse(body.input.value));
  }
  const asked = query.toString();
  return fetch(asked ? `${place}?${asked}` : place, options);
};

const responses = (api, operation) => {
  const list = element('ul');
  for (const [status, given] of Object.entries(operation.responses || {})) {
    list.append(element('li', {}, `${status}: ${resolve(api, given).description}`));
  }
  return list;
};

const trial = (api, path, method, operation) => {
  const form = element('form');
  const inputs = (operation.parameters || []).map((parameter) => {
    const input = element('input', parameter.required ? { required: '' } : {});
    const text = `${parameter.name} (${parameter.in}) ${parameter.description || ''}`;
    form.append(...field(`${operation.operationId}-${parameter.name}`, text, input));
    return { parameter, input };
  });
  let body = null;
  if (operation.requestBody) {
    const [type, media] = Object.entries(operation.requestBody.content)[0];
    const input = element('textarea', { rows: '8', spellcheck: 'false' });
    input.value = JSON.stringify(sample(api, media.schema), null, 2);
    form.append(...field(`${operation.operationId}-body`, `Body (${type})`, input));
    body = { type, input };
  }
  const output = element('pre', { hidden: '', tabindex: '0' });
  form.append(element('button', { type: 'submit' }, 'Send'), output);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    output.hidden = false;
    try {
      output.textContent = await answer(await request(path, method, inputs, body));
    } catch (error) {
      output.textContent = String(error);
    }
  });
  return form;
};

const operationOf = (api, path, method, operation) => {
  const head = element('summary', {}, element('b', {}, method), path,
    element('small', {}, `${operation.summary || ''} Needs: ${operation['x-permission']}`));
  const shown = element('details', {}, head);
  // Built when it is first looked at.
  shown.addEventListener('toggle', () => {
    if (shown.children.length > 1) return;
    shown.append(trial(api, path, method, operation), element('h3', {}, 'Answers'), responses(api, operation));
  });
  return shown;
};

const show = (api) => {
  document.title = `${api.info.title} API`;
  document.getElementById('title').textContent = `${api.info.title} ${api.info.version}`;
  const place = document.getElementById('operations');
  for (const tag of api.tags) {
    const section = element('section', {}, element('h2', {}, tag.description || tag.name));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((name) => item[name] && item[name].tags.includes(tag.name))) {
        section.append(operationOf(api, path, method, item[method]));
      }
    }
    place.append(section);
  }
};

document.getElementById('bearer').addEventListener('submit', (event) => event.preventDefault());
fetch('openapi.json').then((response) => response.json()).then(show).catch((error) => {
  document.getElementById('operations').textContent = String(error);
});
