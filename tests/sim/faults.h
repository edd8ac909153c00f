/* What goes wrong in a run. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

struct world;

void faults_begin(struct world *world);
/* Everything is mended, or mends itself within seconds. */
void faults_end(struct world *world);

#endif
