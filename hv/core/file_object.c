/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/file_object.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/sys.h"
#include "pmap/store_memfd.h"

/* Room for the pages that are replaced because they are on loan. */
#define FILE_BANKS 2u

/* Pages; as many as a large one of the page cache can have. */
#define CACHED_CHUNK 512u

struct file_object {
	struct uvm_object fo_object;
	LIST_ENTRY(file_object) fo_all;
	int fo_fd;
	struct stat fo_stat;
	char fo_name[PATH_MAX];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, file_object) files = LIST_HEAD_INITIALIZER(files);

static struct file_object *file_of(struct uvm_object *uo)
{
	return (struct file_object *)((char *)uo - offsetof(struct file_object, fo_object));
}

/*
 * What we have the page cache need not keep, too: at the end of each chunk, since its pages may be large,
 * and those that are cut stay.
 */
static void forget_cached(const struct file_object *fo, uint64_t off, unsigned n)
{
	uint64_t end = off + n, from = off / CACHED_CHUNK * CACHED_CHUNK;

	if (end / CACHED_CHUNK > off / CACHED_CHUNK || end == fo->fo_object.uo_npages)
		(void)posix_fadvise(fo->fo_fd, (off_t)(from * UVM_PAGE_SIZE),
		    (off_t)((end - from) * UVM_PAGE_SIZE), POSIX_FADV_DONTNEED);
}

/* Read until the pages are full or the file ends; the rest of a page stays zero. */
static int file_get(struct uvm_object *uo, uint64_t off, unsigned n, void *const *dst)
{
	struct file_object *fo = file_of(uo);
	struct iovec iov[UVM_OBJECT_CLUSTER];
	size_t done = 0, want = n * UVM_PAGE_SIZE;
	ssize_t got;

	while (done < want) {
		unsigned first = (unsigned)(done / UVM_PAGE_SIZE), niov = 0;
		size_t skip = done % UVM_PAGE_SIZE;

		for (unsigned i = first; i < n; i++, skip = 0)
			iov[niov++] = (struct iovec){
			    .iov_base = (char *)dst[i] + skip, .iov_len = UVM_PAGE_SIZE - skip};
		got = SYS(preadv(fo->fo_fd, iov, (int)niov, (off_t)(off * UVM_PAGE_SIZE + done)));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	forget_cached(fo, off, n);
	/* Put memory behind what the file did not fill, so that it counts. */
	for (size_t i = (done + UVM_PAGE_SIZE - 1) / UVM_PAGE_SIZE; i < n; i++)
		memset(dst[i], 0, UVM_PAGE_SIZE);
	return 0;
}

static void file_detach(struct uvm_object *uo)
{
	struct file_object *fo = file_of(uo);

	pthread_mutex_lock(&mutex);
	LIST_REMOVE(fo, fo_all);
	pthread_mutex_unlock(&mutex);
	close(fo->fo_fd);
	free(fo);
}

static const struct uvm_pagerops file_pager = {.po_get = file_get, .po_detach = file_detach};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* => mutex locked */
static struct file_object *find(const struct stat *sb)
{
	struct file_object *fo;

	LIST_FOREACH (fo, &files, fo_all)
		/* One that is just being freed can't be had any more. */
		if (same_file(&fo->fo_stat, sb) && uvm_object_tryref(&fo->fo_object))
			return fo;
	return NULL;
}

static void name_of(int fd, char name[PATH_MAX])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, PATH_MAX - 1);
	name[n > 0 ? n : 0] = '\0';
}

static int file_create(int fd, const struct stat *sb, struct file_object **fop, struct failure *f)
{
	uint64_t npages = ((uint64_t)sb->st_size + UVM_PAGE_SIZE - 1) / UVM_PAGE_SIZE;
	struct file_object *fo = SYS_ALLOC(calloc(1, sizeof(*fo)));
	struct memfd_store *ms;
	int error;

	if (fo == NULL)
		return failure_set(f, -ENOMEM, "out of memory");
	fo->fo_stat = *sb;
	name_of(fd, fo->fo_name);
	fo->fo_fd = SYS(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	if (fo->fo_fd < 0) {
		error = failure_sys(f, -errno, "can't keep %s open", fo->fo_name);
		goto out_free;
	}
	error = memfd_store_create("file", npages, FILE_BANKS, 0, &ms, f);
	if (error != 0)
		goto out_close;
	error = uvm_object_init(&fo->fo_object, &file_pager, &ms->ms_store, npages);
	if (error != 0) {
		uvm_store_rele(&ms->ms_store);
		failure_sys(f, error, "can't describe %s", fo->fo_name);
		goto out_close;
	}
	*fop = fo;
	return 0;

out_close:
	close(fo->fo_fd);
out_free:
	free(fo);
	return error;
}

static bool readable_p(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY;
}

int file_object_get(int fd, struct uvm_object **uop, uint64_t *bytes, struct failure *f)
{
	struct file_object *fo;
	struct stat sb;
	int error = 0;

	if (fstat(fd, &sb) != 0)
		return failure_sys(f, -errno, "can't look at the file");
	if (!S_ISREG(sb.st_mode) || sb.st_size == 0)
		return failure_set(f, -EINVAL, "only a regular file that is not empty can be lent");
	if (!readable_p(fd))
		return failure_set(f, -EBADF, "the file must be open for reading");
	pthread_mutex_lock(&mutex);
	fo = find(&sb);
	if (fo == NULL) {
		error = file_create(fd, &sb, &fo, f);
		if (error == 0)
			LIST_INSERT_HEAD(&files, fo, fo_all);
	}
	pthread_mutex_unlock(&mutex);
	if (error != 0)
		return error;
	*uop = &fo->fo_object;
	*bytes = (uint64_t)sb.st_size;
	return 0;
}

bool file_object_current(struct uvm_object *uo)
{
	const struct file_object *fo = file_of(uo);
	struct stat sb;

	return fstat(fo->fo_fd, &sb) == 0 && same_file(&fo->fo_stat, &sb);
}

void file_object_each(void (*visit)(void *arg, const struct file_object_info *info), void *arg)
{
	struct file_object_info info;
	struct file_object *fo;

	pthread_mutex_lock(&mutex);
	LIST_FOREACH (fo, &files, fo_all) {
		info = (struct file_object_info){.name = fo->fo_name,
		    .pages = fo->fo_object.uo_npages,
		    .reads = fo->fo_object.uo_reads,
		    .bytes_read = fo->fo_object.uo_read_pages * UVM_PAGE_SIZE};
		uvm_lock(&fo->fo_object.uo_lock);
		info.resident = fo->fo_object.uo_nresident;
		uvm_unlock(&fo->fo_object.uo_lock);
		visit(arg, &info);
	}
	pthread_mutex_unlock(&mutex);
}
