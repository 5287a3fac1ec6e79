export function main(depth) {
  const ends = [];
  for (const text of ["[".repeat(depth) + "]".repeat(depth), '{"a":'.repeat(depth) + "1" + "}".repeat(depth)]) {
    try {
      JSON.parse(text);
      ends.push("parsed");
    } catch (error) {
      ends.push(error.name);
    }
  }
  let nested = [];
  for (let i = 0; i < depth; i++) nested = [nested];
  try {
    JSON.stringify(nested);
    ends.push("written");
  } catch (error) {
    ends.push(error.name);
  }
  return ends;
}
