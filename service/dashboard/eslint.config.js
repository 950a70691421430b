import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['vendor/', 'node_modules/'] },
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    rules: { 'no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }], eqeqeq: ['error', 'always', { null: 'ignore' }], 'no-restricted-properties': ['error', { property: 'innerHTML', message: 'Text nodes only.' }] },
  },
];
