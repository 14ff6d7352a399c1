/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_UVM_MAPIN_H
#define HV_UVM_MAPIN_H
/*
 * Pages of others that a guest has mapped live: both see what either writes, as long as it lasts.
 * Such a page is wired for its owner, or lies in an arena without seals; whoever calls keeps it so.
 *
 * Both functions run inside the world with no locks held, and leave it while the guest's process
 * maps.
 */
#include "uvm/uvm_map.h"

/*
 * uvm_mapin: show pg, a frame of 4 KiB, at gfn.  Without write a write of the guest is -EACCES of
 * uvm_fault.
 * => 0; errors of uvm_map_enter_new; -ESRCH: the guest is gone; -ENOTRECOVERABLE as uvm_map_show: pg
 *    must stay until the guest is gone
 *
 * uvm_mapout: take it away again.  -ENOENT: no such page is shown at gfn; -EBUSY: it comes or goes
 * this moment; -ENOTRECOVERABLE likewise.  uvm_map_destroy does the same for a guest that is gone.
 */
int uvm_mapin(struct uvm_map *map, uint64_t gfn, struct uvm_page *pg, bool write);
int uvm_mapout(struct uvm_map *map, uint64_t gfn);

#endif
