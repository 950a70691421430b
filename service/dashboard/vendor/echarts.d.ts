export const init: (element: HTMLElement | null, theme?: any, options?: any) => any;
