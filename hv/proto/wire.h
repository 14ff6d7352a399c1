/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROTO_WIRE_H
#define LOMBARD_PROTO_WIRE_H
/*
 * What lombardd (the core) and a lombard-vmm say to each other.  Private to one build of Lombard:
 * both ends are installed together, so there is no compatibility rule beyond WIRE_VERSION.
 *
 * The core spawns the VMM with four inherited descriptors:
 *
 *   WIRE_FD_REQUEST  Unix SEQPACKET.  VMM asks, core answers, one request at a time: first
 *                    wire_hello / wire_config / wire_ready / wire_start, then wire_hypercall and
 *                    wire_ask_console; and wire_unknown, which has no answer.
 *   WIRE_FD_PMAP     Unix SEQPACKET.  Core tells, VMM's pmap executor obeys: wire_map, wire_mapped.
 *   WIRE_FD_EVENT    eventfd.  The core adds 1 when an event channel becomes pending.
 *   WIRE_FD_CONTROL  Unix SEQPACKET.  Core asks, the VMM's main thread answers, one request at a time:
 *                    wire_control, answered by wire_controlled.
 *
 * Either end treats a closed socket as the death of the other: the VMM exits, the core drops the
 * guest.  Every message is one packet that starts with struct wire_hdr; descriptors ride along in
 * SCM_RIGHTS in the order the message names them.  The core trusts no field that a VMM sends.
 *
 * Start-up:
 *   VMM  -> wire_hello                                    "I run"
 *   core -> wire_config  + fds: store, image, in, out,    what to build
 *                          with lapic one eventfd per vCPU, the initrd, the log
 *   VMM  -> wire_ready   + fd:  userfaultfd               built: RAM mapped and registered
 *   core -> wire_start                                    events are served: run the vCPUs
 * With lapic the core adds 1 to a vCPU's own eventfd when upcall_pending of its vcpu_info becomes 1.
 * At the end the VMM sends wire_exit and waits for the core to close, or just dies.
 *
 * A host program that uses channels (operation `channel` of docs/control-protocol.md) gets its ends
 * of both sockets from the core and speaks as a VMM does, with these differences: wire_config has no
 * descriptors, since there is neither RAM nor image nor console; of hypercalls only chan_op is there;
 * the result of CHANOP_create brings the endpoint's eventfd, to which the core adds 1 for each event.
 */
#include <stdint.h>

#define WIRE_VERSION 8
#define WIRE_FD_REQUEST 3
#define WIRE_FD_PMAP 4
#define WIRE_FD_EVENT 5
#define WIRE_FD_CONTROL 6

#define WIRE_MAX_EXTENTS 64   /* in one wire_map; longer lists are sent as several messages */
#define WIRE_MAX_FDS 16	      /* with one message */
#define WIRE_MAX_ARG 256      /* bytes of a hypercall's structure */
#define WIRE_MAX_VCPUS 16     /* of one guest */
#define WIRE_NAME_LEN 32      /* guest name with its NUL */
#define WIRE_CMDLINE_LEN 2048 /* with its NUL: what Linux takes */
#define WIRE_TEXT_LEN 512

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_CONFIG,
	WIRE_READY,
	WIRE_START,
	WIRE_HYPERCALL,
	WIRE_RESULT,
	WIRE_EXIT,
	WIRE_MAP,
	WIRE_MAPPED,
	WIRE_PAUSE,
	WIRE_UNPAUSE,
	WIRE_GET_STATE,
	WIRE_SET_STATE,
	WIRE_CONTROLLED,
	WIRE_STATE,
	WIRE_UNKNOWN,
	WIRE_ATTACH,
	WIRE_ASK_CONSOLE,
	WIRE_CONSOLE,
};

struct wire_hdr {
	uint32_t type;	/* enum wire_type */
	int32_t status; /* in answers: 0 or -errno */
	uint64_t seq;	/* an answer repeats its request's */
};

struct wire_hello {
	struct wire_hdr hdr;
	uint32_t version; /* WIRE_VERSION */
	uint32_t pid;
};

/*
 * Guest-physical layout: RAM is [0, ram_pages) and [high_gfn, high_gfn + high_pages), windows
 * [window_gfn, window_gfn + window_pages), and the special area, the guest's own memory as RAM is,
 * [special_gfn, special_gfn + special_pages).
 */
struct wire_config {
	struct wire_hdr hdr;
	uint32_t domid;
	uint32_t vcpus;	 /* 1 unless lapic */
	uint32_t built;	 /* by tools, from outside: no image is loaded, and it begins paused */
	uint32_t lapic;	 /* it has local APICs and an IO-APIC: its vCPUs take interrupts */
	uint32_t paused; /* it begins so, whoever built it */
	uint32_t log;	 /* its console's output goes to a file, too */
	uint64_t ram_pages;
	uint64_t high_gfn;
	uint64_t high_pages;
	uint64_t window_gfn;
	uint64_t window_pages;
	uint64_t special_gfn;
	uint64_t special_pages;
	/* Pages of the store where the first pages lie: each area is contiguous there. */
	uint64_t ram_index;
	uint64_t high_index;
	uint64_t special_index;
	char name[WIRE_NAME_LEN];
	char image_path[WIRE_TEXT_LEN];	 /* for messages; the image itself is a descriptor */
	char initrd_path[WIRE_TEXT_LEN]; /* likewise; "": there is none */
	char cmdline[WIRE_CMDLINE_LEN];
};

#define WIRE_CONFIG_FIXED_FDS 4
#define WIRE_CONFIG_FDS (WIRE_CONFIG_FIXED_FDS + WIRE_MAX_VCPUS + 2)

/* The VMM's addresses of the areas, so that the core can translate userfaultfd addresses. */
struct wire_ready {
	struct wire_hdr hdr; /* status != 0: could not be built, text says why */
	uint64_t ram_hva;
	uint64_t high_hva;
	uint64_t window_hva;
	uint64_t special_hva;
	uint64_t uffd_features; /* as UFFDIO_API answered */
	char text[WIRE_TEXT_LEN];
};

struct wire_start {
	struct wire_hdr hdr;
};

/*
 * A hypercall that the core answers.  arg holds arg_len bytes copied from guest memory, and in the
 * result the bytes to copy back when copy_back is set (same length).
 */
struct wire_hypercall {
	struct wire_hdr hdr;
	uint32_t nr;
	uint32_t cmd;
	uint32_t arg_len;
	uint32_t pad;
	uint8_t arg[WIRE_MAX_ARG];
};

/*
 * A command of loan_op beside those of loan.h: go on with a lend of which the core has done a part (ret is -ERESTART,
 * and the structure's id, which is not copied back, its number).
 */
#define WIRE_LEND_REST UINT32_C(0x10000)

struct wire_result {
	struct wire_hdr hdr;
	int64_t ret; /* into rax; -ERESTART: a part is done, make the call again */
	uint32_t arg_len;
	uint32_t copy_back;
	uint32_t console; /* EVTCHNOP_send, by a console's port that wire_ask_console calls ours */
	uint32_t pad;
	uint8_t arg[WIRE_MAX_ARG];
};

/* The argument of VCPUOP_register_vcpu_info, which the guest gives in two pieces. */
struct wire_vcpu_info {
	uint64_t gfn;
	uint32_t offset;
	uint32_t vcpu;
};

/* The guest made a hypercall that is not there: rax and rdi.  There is no answer. */
struct wire_unknown {
	struct wire_hdr hdr;
	uint64_t nr;
	uint64_t cmd;
};

/*
 * The PV console's ring is served by the VMM as long as no program of the host has bound to its event
 * channel: only the core knows.  raise: send the guest an event by that channel, if it is so.
 * The answer's status: 0: serve it; -EBUSY: a program does; -ENOENT: there is no ring
 */
struct wire_ask_console {
	struct wire_hdr hdr;
	uint32_t raise;
	uint32_t pad;
};

struct wire_console {
	struct wire_hdr hdr; /* status */
	uint64_t gfn;	     /* where the ring is */
};

/* Why a VMM ends: 'reason' is Xen's SHUTDOWN_* (public/sched.h), or one of these. */
#define WIRE_EXIT_VMM_ERROR                                                                        \
	0x100 /* the VMM or KVM failed, or the guest broke a rule: text says what */

struct wire_exit {
	struct wire_hdr hdr;
	uint32_t reason;
	uint32_t code; /* exit status, for SHUTDOWN_poweroff */
	char text[WIRE_TEXT_LEN];
};

/*
 * Extents to map, each a run of pages contiguous both in the guest and in the store.
 *
 *   WIRE_OWN    pages of the guest's own store, shared and writable, registered for
 *               write-protection but not protected
 *   WIRE_LENT   pages of the store fds[fd], read-only for the guest: a private mapping of a
 *               read-only descriptor, registered and write-protected, so that a write is an event
 *   WIRE_ZERO   the kernel's zero page, registered and write-protected
 *   WIRE_NONE   nothing: an access is an event (missing page)
 *   WIRE_ARENA  pages of the store fds[fd], which the guest may write: as WIRE_OWN
 *
 * The executor maps all extents in order, wakes whoever sleeps on them, and answers once with
 * wire_mapped when want_reply is set (always set in the last message of a list).  After a failure
 * it answers the error and number of pages done; the core decides what to do.
 */
enum wire_extent_kind { WIRE_OWN = 1, WIRE_LENT, WIRE_ZERO, WIRE_NONE, WIRE_ARENA };

struct wire_extent {
	uint64_t gfn;
	uint64_t index; /* page in the store; 0 for ZERO and NONE */
	uint32_t npages;
	uint16_t kind; /* enum wire_extent_kind */
	uint16_t fd;   /* which of the message's descriptors; LENT and ARENA only */
};

struct wire_map {
	struct wire_hdr hdr;
	uint32_t nextents;
	uint32_t want_reply;
	struct wire_extent extents[WIRE_MAX_EXTENTS]; /* only the first nextents are sent */
};

struct wire_mapped {
	struct wire_hdr hdr; /* status */
	uint64_t
	    mappings; /* lines in the VMM's address map that belong to guest memory: estimate */
};

/*
 * A vCPU's registers, as x86-64 has them, whatever KVM calls them.
 *
 * Segment attributes are bits 0..7 and 12..15 of a descriptor's attribute bytes, without the gap:
 * type, s, dpl, p, avl, l, d/b, g (as Xen's hvm_hw_cpu has them).  Not present: it can't be used.
 */
struct wire_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes;
};

struct wire_table {
	uint64_t base;
	uint64_t limit;
};

enum {
	WIRE_RAX,
	WIRE_RCX,
	WIRE_RDX,
	WIRE_RBX,
	WIRE_RSP,
	WIRE_RBP,
	WIRE_RSI,
	WIRE_RDI,
	WIRE_GPRS = 16
};
enum { WIRE_ES, WIRE_CS, WIRE_SS, WIRE_DS, WIRE_FS, WIRE_GS, WIRE_LDTR, WIRE_TR, WIRE_SEGMENTS };

#define WIRE_FIXED_MTRRS 11 /* 0x250, 0x258, 0x259, 0x268..0x26f */
#define WIRE_VAR_MTRRS 16   /* base and mask by turns: 0x200.. */
#define WIRE_FXSAVE 512
#define WIRE_LAPIC 1024

/* An event that the processor was about to deliver, as VMX has it: 1 << 31 when there is one. */
#define WIRE_EVENT_VALID (UINT32_C(1) << 31)
#define WIRE_EVENT_ERROR_CODE (UINT32_C(1) << 11)
#define WIRE_EVENT_TYPE(event) ((event) >> 8 & 7)
enum {
	WIRE_EVENT_INTERRUPT = 0,
	WIRE_EVENT_NMI = 2,
	WIRE_EVENT_EXCEPTION = 3,
	WIRE_EVENT_SOFT = 4
};

struct wire_vcpu {
	uint64_t gpr[WIRE_GPRS]; /* by the processor's numbers */
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4;
	uint64_t dr[4], dr6, dr7;
	struct wire_segment segment[WIRE_SEGMENTS];
	struct wire_table gdtr, idtr;
	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc, tsc_aux;
	uint64_t pat, mtrr_cap, mtrr_def_type;
	uint64_t mtrr_fixed[WIRE_FIXED_MTRRS], mtrr_var[WIRE_VAR_MTRRS];
	uint32_t event, event_error;
	uint8_t fxsave[WIRE_FXSAVE];
	/* Of a vCPU with a LAPIC; zeroes without. */
	uint64_t apic_base;	   /* the MSR */
	uint8_t lapic[WIRE_LAPIC]; /* registers, by their offsets in its page */
	uint32_t waiting;	   /* it waits for INIT and SIPI: it has not been started */
	uint32_t pad;
};

/*
 * Requests to the VMM's main thread.
 *
 *   WIRE_PAUSE      answered once no guest instruction runs, nor will before WIRE_UNPAUSE.  The VMM may
 *                   still be busy with a hypercall that the guest has made
 *   WIRE_UNPAUSE    the guest goes on
 *   WIRE_GET_STATE  of one vCPU of a paused guest: answered by wire_state once its hypercall is
 *                   finished; for one that takes long, as it was when it was made
 *   WIRE_SET_STATE  (wire_set_state) of one vCPU of a paused guest; -EBUSY: it is in a hypercall
 *                   that takes long; -EINVAL: no processor can be in such a state, and it is in its
 *                   old one, or in parts of both
 *
 *   WIRE_ATTACH     (wire_attach + fd) a client of the guest's console; -EUSERS: there are too many
 *
 * Neither pause is counted here: to pause a paused guest changes nothing.  SET and GET of a guest that
 * runs, or of a vCPU that it does not have, are -EINVAL.
 */
struct wire_control {
	struct wire_hdr hdr;
	uint32_t vcpu; /* WIRE_GET_STATE */
	uint32_t pad;
};

struct wire_set_state {
	struct wire_hdr hdr;
	uint32_t vcpu;
	uint32_t pad;
	struct wire_vcpu state;
};

struct wire_attach {
	struct wire_hdr hdr;
	uint32_t history; /* it gets earlier output, too */
	uint32_t pad;
};

/* The answer to all but WIRE_GET_STATE. */
struct wire_controlled {
	struct wire_hdr hdr;	  /* status */
	char text[WIRE_TEXT_LEN]; /* why, if there is more to say than that; else "" */
};

struct wire_state {
	struct wire_hdr hdr;
	struct wire_vcpu state;
};

#endif
