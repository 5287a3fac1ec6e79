const config = await Promise.resolve({ rate: 2 });
const { more } = await (async () => ({ more: await 3 }))();
export const main = () => config.rate * more;
