/** JSON data as the YAML of a study file. */

/** @param {any} value @returns {string} */
function scalar(value) {
  if (typeof value !== 'string') return JSON.stringify(value);
  const plain = /^[A-Za-z_./][\w ./+-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value) && !/\s$/.test(value);
  return plain || /^\d+(\.\d+)?(x|k|M|[KMG]i?B)$/.test(value) ? value : JSON.stringify(value);
}

/** @param {any} value @returns {boolean} */
const simple = (value) => typeof value !== 'object' || value === null;

/** On one line, as `{a: 1, b: [2, 3]}`. @param {any} value @returns {string} */
function flow(value) {
  if (simple(value)) return scalar(value);
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  return `{${Object.entries(value).map(([name, inner]) => `${scalar(name)}: ${flow(inner)}`).join(', ')}}`;
}

const WIDE = 64;

/** @param {any} value @param {string} [indent] @returns {string} */
export function yaml(value, indent = '') {
  return Object.entries(value).map(([name, inner]) => {
    const line = `${indent}${scalar(name)}: ${flow(inner)}`;
    if (simple(inner) || line.length <= WIDE) return `${line}\n`;
    if (Array.isArray(inner)) return `${indent}${scalar(name)}:\n${inner.map((one) => `${indent}  - ${flow(one)}\n`).join('')}`;
    return `${indent}${scalar(name)}:\n${yaml(inner, `${indent}  `)}`;
  }).join('');
}
