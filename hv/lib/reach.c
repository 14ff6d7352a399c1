/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/reach.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sys.h"

#define DEFAULT_SOCKET "/run/lombard/cell.sock"

const char *reach_path(void)
{
	const char *env = getenv("LOMBARD_SOCKET");

	return env != NULL && *env != '\0' ? env : DEFAULT_SOCKET;
}

int reach_cell(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = reach_path();
	int fd, error;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = SYS(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return -errno;
	if (SYS(connect(fd, (struct sockaddr *)&addr, sizeof(addr))) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int reach_judge(const char *text, size_t len)
{
	json_error_t jerror;
	json_t *answer = json_loadb(text, len, 0, &jerror);
	json_int_t number = json_integer_value(json_object_get(answer, "errno"));
	int error = -EPROTO;

	if (json_is_true(json_object_get(answer, "ok")))
		error = 0;
	else if (number > 0 && number < 4096)
		error = -(int)number;
	json_decref(answer);
	return error;
}
