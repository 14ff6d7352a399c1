/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels: see chanroles.h and chanraw.h. */
#include "probe.h"

#include "chanroles.h"
#include "chanraw.h"

static int chan_op(unsigned int cmd, const void *arg)
{
	return (int)hypercall(LOMBARD_HYPERCALL_chan_op, cmd, (uint64_t)arg, 0, 0, 0);
}

/* An area is no memory of the guest's that it could lend, give up or return; nor is its port. */
static void chan_alien_test(int argc, char **argv)
{
	struct chan_id none = {.id = 0};
	struct loan_discard discard;
	struct loan_return back;
	struct loan_lend lend;
	struct raw_end e;

	(void)argc;
	(void)argv;
	raw = chan_default_transport();
	expect(1, "an unknown command", chan_op(10, &none), -ENOSYS);
	expect(1, "another", chan_op(~0U, &none), -ENOSYS);
	expect(2, "endpoint 0", chan_op(CHANOP_reap, &none), -EBADF);
	expect(3, "create", raw_create(&e, "alien", RAW_PAGES, 1), 0);
	for (uint32_t page = 0; page < CHAN_AREA_PAGES(RAW_PAGES); page += RAW_PAGES - 1) {
		lend = (struct loan_lend){e.gfn + page, 1, LOAN_DOMID_ANY, LOAN_TO_PAGE, 0, 0};
		expect(4, "lend", hypercall_loan_op(LOANOP_lend, &lend), -EINVAL);
		discard = (struct loan_discard){.gfn = e.gfn + page, .nr_pages = 1};
		expect(5, "discard", hypercall_loan_op(LOANOP_discard, &discard), -EINVAL);
	}
	back = (struct loan_return){e.gfn};
	expect(6, "return", hypercall_loan_op(LOANOP_return, &back), -EINVAL);
	expect(7, "send to the core", event_send(e.ep.port), -EINVAL);
	expect(8, "close the core's port", event_close(e.ep.port), -EINVAL);
	raw_close(&e);
	expect(9, "close the port that is gone", event_close(e.ep.port), -EINVAL);
}

const struct test tests_chan[] = {CHAN_ROLES CHAN_RAW{"chan-alien", chan_alien_test}};
const size_t nr_tests_chan = ARRAY_SIZE(tests_chan);
