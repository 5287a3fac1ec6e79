declare module "sandmill" {}
