// Resources: `resource` of the module `sandmill`.
import { Refused, taker } from "./errors.js";
import { inspectSymbol } from "./inspect.js";
import { native } from "./native.js";

export class ResourceError extends Refused {}

const taken = taker(ResourceError);

class Resource {
  #handle;
  #fields;

  constructor(path, handle) {
    this.path = path;
    this.#handle = handle;
  }

  get type() {
    return native.resourceType(this.#handle);
  }

  get fields() {
    return (this.#fields ??= native.resourceFields(this.#handle));
  }

  placeholder(pointer) {
    return taken(native.resourcePlaceholder(this.#handle, String(pointer)));
  }

  toJSON() {
    return { path: this.path, type: this.type, fields: this.fields };
  }

  [inspectSymbol]() {
    return this.toJSON();
  }

  // For those that use it as a whole. `from` may be its path.
  static handleOf(what, from) {
    const isResource = typeof from === "object" && from !== null && #handle in from;
    return isResource ? from.#handle : open(what, String(from));
  }
}
export const { handleOf } = Resource;
delete Resource.handleOf;

// `what` is what the script called.
const open = (what, path) => taken(native.resourceOpen(what, path));

export const resource = { open: (path) => new Resource(String(path), open("resource.open", String(path))) };
