/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_IMAGES_H
#define LOMBARD_CLI_IMAGES_H
/* Where Lombard's own parts lie.  The texts are the caller's, to free. */

/* The directory that this program was started from: 0 or -errno, and nothing said. */
int images_program_dir(char **dir);

/* The path, seen from the root: 0 or -errno, and nothing said. */
int images_absolute(const char *path, char **abs);

/*
 * Open the image of one of Lombard's guests, NAME.elf: in $LOMBARD_GUESTS, else where a build or an
 * installation has it, seen from this program.  -errno, told to the user, when it is not there.
 */
int images_open(const char *name, char **path, int *fd);

#endif
