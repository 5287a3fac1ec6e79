function logged(target: object, key: string, descriptor: PropertyDescriptor) { return descriptor; }
function sealed(constructor: Function) { Object.seal(constructor); }
function param(target: object, key: string, index: number) {}

@sealed
class Service {
  @logged
  run(@param name: string) { return name; }
}
export const main = async function (name: string) {
  return new Service().run(name);
};
