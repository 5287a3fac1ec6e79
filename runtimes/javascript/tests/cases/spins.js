export async function main() { while (true) await null; }
