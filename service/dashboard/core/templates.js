/** Studies to start from. */

const distillation = {
  losses: [{ name: 'kd', temperature: { low: 1, high: 20, log: true }, weight: { low: 0.1, high: 1.0 } }],
};
const objectives = [{ metric: 'accuracy', direction: 'maximize' }, { metric: 'parameters', direction: 'minimize' }];
const budget = { parameters: '0.1x', peak_activation_bytes: '0.333x' };
const space = { name: 'hierarchical_graph', top_nodes: [3, 5], middle_nodes: [1, 1], bottom_nodes: [2, 4], parameter_fraction: [0.8, 1.0] };

/** @type {Record<string, {title: string, about: string, spec: any}>} */
export const TEMPLATES = {
  digits: {
    title: 'Digits',
    about: 'Real handwritten digits, no download; minutes on two cores',
    spec: {
      name: 'my-digits', data: { name: 'digits' }, teacher: { model: 'resnet20', epochs: 30 }, space, distillation, budget, objectives,
      strategy: { name: 'bayesian' }, fidelity: { min_epochs: 9, max_epochs: 27, eta: 3 }, training: { learning_rate: 0.05 },
      limits: { trials: 30, seconds: 900 }, final: { top: 3, epochs: 60, seeds: 2 },
    },
  },
  npz: {
    title: 'Your images',
    about: 'A NumPy archive that you upload',
    spec: {
      name: 'my-images', data: { name: 'npz' }, teacher: { model: 'resnet20', epochs: 40 }, space: { name: 'hierarchical_graph' }, distillation, budget, objectives,
      strategy: { name: 'bayesian' }, fidelity: { min_epochs: 3, max_epochs: 27 }, limits: { trials: 100 }, final: { top: 3, epochs: 60, seeds: 2 },
    },
  },
  cifar10: {
    title: 'CIFAR-10',
    about: 'By torchvision; wants a GPU',
    spec: {
      name: 'my-cifar10', data: { name: 'cifar10' }, teacher: { model: 'wrn16_2', epochs: 60 }, space: { name: 'hierarchical_graph' }, distillation, budget, objectives,
      strategy: { name: 'bayesian' }, fidelity: { min_epochs: 5, max_epochs: 45 }, limits: { trials: 100 }, final: { top: 3, epochs: 120, seeds: 3 },
    },
  },
};
