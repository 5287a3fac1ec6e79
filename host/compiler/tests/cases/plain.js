// Kept as it is, so that positions need no map.
function helper() { return 1 }

var start = async (a, b = "x") => helper();
export { start as main, helper as preprocessor }
