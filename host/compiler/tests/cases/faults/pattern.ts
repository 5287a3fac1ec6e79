export const { main } = { main: () => 1 };
