// The program inside the laptop's one file: what the bundles of the image find beside them is taken out of the file instead.
// Neighbours: src/main.ts (the same command), ../one-file.ts (builds this).
// oxlint-disable-next-line import/no-unassigned-import -- its effect must come before the program's own modules are run
import './workers.ts';
// oxlint-disable-next-line import/no-unassigned-import -- the program
import '../../../src/main.ts';
