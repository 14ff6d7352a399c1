/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_VERSION_H
#define LOMBARD_LIB_VERSION_H

#define LOMBARD_VERSION "0.1"

#endif
