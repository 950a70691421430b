/** JSON Schema as a form needs it: what kind of field a schema is, and values by path. */

/** @typedef {Record<string, any>} Schema */

/** A schema with its reference followed; what stands beside the reference counts. @param {Schema} schema @param {Schema} root @returns {Schema} */
export function resolve(schema, root) {
  if (!schema.$ref) return schema;
  const { $ref, ...beside } = schema;
  const target = $ref.slice(2).split('/').reduce((at, /** @type {string} */ part) => at[part], root);
  return { ...resolve(target, root), ...beside };
}

/** What a schema allows besides null. @param {Schema} schema @param {Schema} root @returns {Schema} */
export function withoutNull(schema, root) {
  const here = resolve(schema, root);
  if (!here.anyOf) return here;
  const others = here.anyOf.map((/** @type {Schema} */ one) => resolve(one, root)).filter((/** @type {Schema} */ one) => one.type !== 'null');
  const { anyOf, ...beside } = here;
  return others.length === 1 ? { ...others[0], ...beside, nullable: others.length < anyOf.length } : here;
}

/**
 * Objects of which one is chosen by its `name`: each name with the schema it stands for.
 * @param {Schema} schema
 * @param {Schema} root
 * @returns {Record<string, Schema> | null}
 */
export function variants(schema, root) {
  const some = (schema.oneOf ?? []).map((/** @type {Schema} */ one) => resolve(one, root));
  if (!some.length || !some.every((/** @type {Schema} */ one) => one.properties?.name)) return null;
  return Object.fromEntries(some.flatMap((/** @type {Schema} */ one) => {
    const { name } = one.properties;
    return (name.const ? [name.const] : name.enum ?? []).map((/** @type {string} */ value) => [value, one]);
  }));
}

/**
 * The kind of field that a schema wants.
 * @param {Schema} schema resolved, without null
 * @param {Schema} root
 * @returns {'const' | 'choice' | 'boolean' | 'number' | 'text' | 'upload' | 'range' | 'list' | 'objects' | 'variant' | 'object' | 'json'}
 */
export function kindOf(schema, root) {
  if ('const' in schema) return 'const';
  if (/\bupload of kind\b/.test(schema.description ?? '')) return 'upload';
  if (schema.enum) return 'choice';
  if (variants(schema, root)) return 'variant';
  if ((schema.oneOf ?? []).some((/** @type {Schema} */ one) => resolve(one, root).properties?.low)) return 'range';
  if (schema.type === 'boolean') return 'boolean';
  if (schema.type === 'integer' || schema.type === 'number') return 'number';
  if (schema.type === 'array') return resolve(schema.items ?? {}, root).type === 'object' || schema.items?.oneOf ? 'objects' : 'list';
  if (schema.properties) return 'object';
  return schema.type === 'object' ? 'json' : 'text';
}

/** @param {any} value @param {(string | number)[]} path */
export const at = (value, path) => path.reduce((here, part) => here?.[part], value);

/**
 * A value with one place changed; undefined removes it, and what is left empty with it.
 * @param {any} value
 * @param {(string | number)[]} path
 * @param {any} next
 * @returns {any}
 */
export function changed(value, [first, ...rest], next) {
  const inner = rest.length ? changed(value?.[first] ?? (typeof rest[0] === 'number' ? [] : {}), rest, next) : next;
  if (Array.isArray(value)) return inner === undefined ? value.filter((_, i) => i !== first) : Object.assign([...value], { [first]: inner });
  const { [first]: _, ...others } = value ?? {};
  const gone = inner === undefined || (rest.length && typeof inner === 'object' && inner && !Array.isArray(inner) && Object.keys(inner).length === 0);
  return gone ? others : { ...value, [first]: inner };
}

/**
 * A stored value as someone would write it: without what is the default anyway.
 * @param {any} value
 * @param {Schema} given
 * @param {Schema} root
 * @returns {any}
 */
export function concise(value, given, root) {
  const outer = withoutNull(given, root);
  const schema = variants(outer, root)?.[value?.name] ?? outer;
  if (Array.isArray(value) && schema.items) return value.map((one) => concise(one, schema.items, root));
  if (!value || typeof value !== 'object' || !schema.properties) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([name, inner]) => {
    const known = schema.properties[name];
    if (known && 'default' in known && JSON.stringify(known.default) === JSON.stringify(inner)) return [];
    return [[name, known ? concise(inner, known, root) : inner]];
  }));
}

/** A default as someone would type it. @param {any} value */
export function asText(value) {
  if (value == null) return '';
  if (typeof value === 'object') return value.text ?? JSON.stringify(value);
  return String(value);
}
