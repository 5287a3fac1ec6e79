export const main = () => <>hello</>;
