// Whether a message has the shape that specs/schemas say: as much of JSON Schema as those files use.
import fs from 'node:fs';

const FOLDER = new URL('../../specs/schemas/', import.meta.url), files = new Map();
const KINDS = { integer: Number.isInteger, null: (v) => v === null, array: Array.isArray,
  object: (v) => typeof v === 'object' && v !== null && !Array.isArray(v) };
const isKind = (kind, value) => (KINDS[kind] ?? ((v) => typeof v === kind))(value);

function load(name) {
  if (!files.has(name)) files.set(name, JSON.parse(fs.readFileSync(new URL(name, FOLDER), 'utf8')));
  return files.get(name);
}

/** What is wrong with the parameters of an operation, or null. */
export function wrongShape(operation, params = {}) {
  const shape = load('protocol.schema.json').$defs[`${operation}:params`];
  return shape ? problem(shape, params, 'protocol.schema.json', 'params') : null;
}

function problem(shape, value, file, where) {
  if (shape.$ref) {
    const [name, pointer = ''] = shape.$ref.split('#'), home = name || file;
    const found = pointer.split('/').slice(1).reduce((inner, step) => inner[step.replaceAll('~1', '/')], load(home));
    return problem(found, value, home, where);
  }
  const inner = (part, step, v) => problem(part, v, file, `${where}.${step}`);
  if (shape.oneOf) {
    const found = shape.oneOf.map((part) => problem(part, value, file, where));
    return found.filter((wrong) => wrong === null).length === 1 ? null : found.find(Boolean) ?? `${where} is two things`;
  }
  if (shape.type && ![shape.type].flat().some((kind) => isKind(kind, value))) return `${where} is no ${shape.type}`;
  if ('const' in shape && value !== shape.const) return `${where} is not ${shape.const}`;
  if (shape.enum && !shape.enum.includes(value)) return `${where} is none of ${shape.enum}`;
  if (typeof value === 'number' && (value < shape.minimum || value > shape.maximum)) return `${where} is out of range`;
  if (value?.length < (shape.minLength ?? shape.minItems)) return `${where} is empty`;
  if (value?.length > (shape.maxLength ?? shape.maxItems)) return `${where} is too long`;
  if (Array.isArray(value)) {
    if (shape.uniqueItems && new Set(value).size < value.length) return `${where} has an item twice`;
    return value.map((item, i) => inner(shape.items ?? {}, i, item)).find(Boolean) ?? null;
  }
  if (!isKind('object', value)) return null;
  const missing = (shape.required ?? []).find((name) => !(name in value));
  if (missing) return `${where}.${missing} is missing`;
  if (Object.keys(value).length < shape.minProperties) return `${where} is empty`;
  const known = shape.properties ?? {};
  const odd = Object.keys(value).find((name) => !(name in known));
  if (odd && shape.additionalProperties === false) return `${where}.${odd} is not known`;
  return Object.keys(value).filter((name) => name in known).map((name) => inner(known[name], name, value[name]))
    .find(Boolean) ?? null;
}
