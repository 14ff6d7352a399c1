/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_xen.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "../xen/evtsend.h"
#include "../xen/gntfill.h"

struct fake fake;
static int memory, events;

void fake_open(void)
{
	memory = memfd_create("guest", 0);
	events = eventfd(0, EFD_NONBLOCK);
	cr_assert(memory >= 0 && events >= 0);
	cr_assert_eq(ftruncate(memory, FAKE_PAGES * 4096), 0);
	fake.pages = mmap(NULL, FAKE_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	cr_assert_neq(fake.pages, MAP_FAILED);
}

/* ---- libxengnttab ---- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger;
	(void)flags;
	return (xengnttab_handle *)&fake;
}

static bool allowed(uint32_t ref, int prot)
{
	return ref >= FAKE_REF && ref - FAKE_REF < FAKE_PAGES &&
	       !((prot & PROT_WRITE) && fake.read_only[ref - FAKE_REF]);
}

void *xengnttab_map_domain_grant_refs(
    xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
	char *at;

	(void)xgt;
	(void)domid;
	for (uint32_t i = 0; i < count; i++)
		if (!allowed(refs[i], prot)) {
			errno = EINVAL;
			return NULL;
		}
	at = mmap(NULL, count * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(at, MAP_FAILED);
	for (uint32_t i = 0; i < count; i++)
		cr_assert_neq(mmap(at + i * 4096, 4096, prot, MAP_SHARED | MAP_FIXED, memory,
				  (off_t)(refs[i] - FAKE_REF) * 4096),
		    MAP_FAILED);
	fake.mapped += count;
	return at;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	return xengnttab_map_domain_grant_refs(xgt, 1, domid, &ref, prot);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *at, uint32_t count)
{
	(void)xgt;
	cr_assert_geq(fake.mapped, count);
	fake.mapped -= count;
	return munmap(at, count * 4096);
}

static int disk;

int gntfill_only(xengnttab_handle *xgt, uint32_t domid)
{
	(void)xgt;
	return domid == 1 ? 0 : -ESRCH;
}

int gntfill_file(xengnttab_handle *xgt, int fd)
{
	(void)xgt;
	fake.fills = true;
	disk = fd;
	return 0;
}

int gntfill_pages(
    xengnttab_handle *xgt, const struct xenwire_fill *fills, uint32_t n, int32_t *errors)
{
	struct stat st;

	(void)xgt;
	cr_assert(fake.fills);
	cr_assert_eq(fstat(disk, &st), 0);
	if (fake.stale)
		return -ESTALE;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t page = fills[i].ref - FAKE_REF;

		errors[i] = allowed(fills[i].ref, PROT_WRITE) ? 0 : -EPERM;
		if (errors[i] == 0 && fake.unwilling[page])
			errors[i] = -EBUSY;
		if (errors[i] != 0)
			continue;
		cr_assert_leq((fills[i].page + 1) * 4096, (uint64_t)st.st_size);
		cr_assert_eq(
		    pread(disk, fake.pages + page * 4096, 4096, (off_t)fills[i].page * 4096), 4096);
		fake.filled++;
	}
	return 0;
}

/* ---- libxenevtchn ---- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger;
	(void)flags;
	return (xenevtchn_handle *)&fake;
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	(void)xce;
	errno = ESRCH;
	return domid == 1 ? 0 : -1;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	(void)xce;
	return events;
}

int evtsend(xenevtchn_handle *xce, evtchn_port_t port)
{
	return xenevtchn_notify(xce, port);
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	cr_assert_eq(port, 5);
	fake.notified++;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(
    xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote)
{
	(void)xce;
	(void)domid;
	if (fake.busy > 0 && --fake.busy == 0)
		fake.bound = false;
	if (remote != 3 || fake.bound) {
		errno = EINVAL;
		return -1;
	}
	fake.bound = true;
	return 5;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	cr_assert_eq(port, 5);
	cr_assert(fake.bound);
	fake.bound = false;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	(void)xce;
	if (fake.told) {
		fake.told = false;
		return 5;
	}
	errno = EAGAIN;
	return -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	cr_assert_eq(port, 5);
	fake.unmasked++;
	return 0;
}
