export const Graph: new () => any;
export const layout: (graph: any) => void;
