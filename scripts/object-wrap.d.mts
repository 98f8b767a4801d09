export function patchedObjectWrap(headers: string, folder: string): string;
