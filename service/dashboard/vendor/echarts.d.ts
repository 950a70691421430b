export const graphic: Record<string, new (options: any) => any>;
export const init: (element: HTMLElement | null, theme?: any, options?: any) => any;
