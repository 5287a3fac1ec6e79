function logged(value: unknown, context: ClassMethodDecoratorContext) {}
class A { @logged m() {} }
export function main() { return A; }
