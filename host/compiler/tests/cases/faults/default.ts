/* é */ export default async function main(name: string) {}
