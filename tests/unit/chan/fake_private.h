/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_CHAN_FAKE_PRIVATE_H
#define TESTS_UNIT_CHAN_FAKE_PRIVATE_H
/* What fake.c and fake_seal.c share. */
#include "chan/fake.h"

#include <pthread.h>

#define FAKE_ENDPOINTS 32
#define FAKE_MAX_FRAMES 4096 /* of an arena whose seals are broken */

enum fake_link_state { LINK_FREE, LINK_WAITING, LINK_MAPPED };

struct fake_link {
	enum fake_link_state state;
	bool gone;
	struct fake_ep *peer;
	unsigned remote;
	uint8_t *view;			    /* where our owner sees the peer's area */
	uint8_t stale[FAKE_MAX_FRAMES / 8]; /* frames that it sees as they once were */
};

struct fake_seal {
	bool used;
	uint32_t seq, first, nr, waiting;
	bool broken;
	uint64_t hash;
};

struct fake_ep {
	uint64_t id; /* 0: free */
	char name[CHAN_NAME_LEN];
	bool closed;
	uint32_t arena_pages, frame_pages;
	unsigned max_peers;
	int fd, memfd;
	uint8_t *owner, *kva; /* the owner's mapping, ours */
	struct chan_control *control;
	struct chan_status *status;
	struct fake_link link[CHAN_MAX_PEERS];
	struct fake_seal seal[CHAN_SLOTS];
};

extern pthread_mutex_t fake_mutex;
extern struct fake_ep fake_eps[FAKE_ENDPOINTS];
extern unsigned fake_flags;

_Noreturn void fake_broken(const char *what);
uint64_t fake_clock(void);
struct fake_ep *fake_find(uint64_t id);
void fake_raise(struct fake_ep *ep);

/* The library's calls that fake_link.c answers. */
int fake_query(struct chan_endpoint *cep, struct chan_query *op);
int fake_connect(struct chan_endpoint *cep, struct chan_connect *op);
int fake_accept(struct chan_endpoint *cep, struct chan_connect *op);
int fake_drop(struct chan_endpoint *cep, uint32_t i);
void fake_close(struct chan_endpoint *cep);

/* Where the peer is that was asked for last, if it has to be seen there.  NULL: anywhere. */
uint8_t *fake_place_for_peer(uint32_t pages);

/* All with the mutex.  fake_failure: the error of this call, if it is to fail. */
int fake_failure(enum fake_call call);
struct fake_ep *fake_find_name(const char *name);
size_t fake_area_bytes(const struct fake_ep *ep);
int fake_do_seal(struct fake_ep *ep, const struct chan_seal *op);
int fake_do_reap(struct fake_ep *ep);
int fake_do_refresh(struct fake_ep *ep, const struct chan_refresh *op);
void fake_keep_for(struct fake_ep *ep, unsigned peer);
void fake_forget_peer(struct fake_ep *ep, unsigned peer);

#endif
