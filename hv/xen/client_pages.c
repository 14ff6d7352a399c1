/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages in the answers of the kinds that map them. */
#include "pmap/store_memfd.h"
#include "uvm/uvm_loan.h"
#include "xen/client_foreign.h"

bool xen_foreign_place(
    struct xen_reply *rep, struct xenwire_page *where, struct uvm_page *pg, bool write)
{
	struct memfd_store *ms;
	unsigned i = 0;
	int fd;

	*where = (struct xenwire_page){.fd = XENWIRE_ZERO};
	if (uvm_zero_page_p(pg))
		return true;
	ms = memfd_store_of(pg->pg_store);
	fd = write ? ms->ms_fd : ms->ms_ro_fd;
	while (i < rep->nfds && rep->fds[i] != fd)
		i++;
	if (i == XENWIRE_MAX_FDS)
		return false;
	if (i == rep->nfds)
		rep->fds[rep->nfds++] = fd;
	where->fd = i;
	where->index = pg->pg_index;
	return true;
}
