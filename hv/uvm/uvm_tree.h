/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_TREE_H
#define HV_UVM_TREE_H
/*
 * What RB_GENERATE_STATIC of libbsd's sys/tree.h forgets to define.  For .c files, after all other
 * headers: some system headers use the word as a name.
 */
#ifndef __unused
#define __unused __attribute__((__unused__))
#endif
#endif
