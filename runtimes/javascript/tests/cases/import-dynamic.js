export async function main() {
  const { state } = await import("sandmill");
  const failed = await import("fs").catch((error) => error.message);
  return [typeof state.get, failed.startsWith('cannot import "fs"')];
}
