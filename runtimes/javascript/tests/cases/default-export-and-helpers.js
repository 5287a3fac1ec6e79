const helper = (x) => x * 2;
export default helper;
export { run as main };
function run() { return helper(21); }
