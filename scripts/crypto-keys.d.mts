export declare function cryptoWithKeys(source: string, work: string): void;
