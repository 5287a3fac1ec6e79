export class main {}
