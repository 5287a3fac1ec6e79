export const main = async () => { throw { message: "custom", code: 7 }; };
