export type { main };
type main = string;
