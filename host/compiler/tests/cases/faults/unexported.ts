function main(name: string) {}
