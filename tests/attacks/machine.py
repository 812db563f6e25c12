"""Attacks on what is around a function: files, network, processes, signals, descriptors, output, environment."""

from attacks.record import ERROR, FAIL, HANGS, RETURNS, TIMEOUT, Attack

FILES = (
    Attack("read_a_file", "return open(at['folder'] + '/canary').read() == 'secret'"),
    Attack(
        "read_a_file_by_another_way_to_it",
        "return open('/proc/self/root' + at['folder'] + '/canary').read() == 'secret'",
    ),
    Attack("read_the_list_of_users", "import pwd; return pwd.getpwuid(0).pw_name != ''"),
    Attack("write_a_file", "return open(at['folder'] + '/new', 'w').write('x') == 1"),
    Attack("append_to_a_file", "return open(at['folder'] + '/canary', 'a').write('') == 0"),
    Attack("delete_a_file", "os.unlink(at['folder'] + '/victim'); return True"),
    Attack("rename_a_file", "os.rename(at['folder'] + '/victim', at['folder'] + '/gone'); return True"),
    Attack("truncate_a_file", "os.truncate(at['folder'] + '/victim', 0); return True"),
    Attack("change_a_mode", "os.chmod(at['folder'] + '/canary', 0o600); return True"),
    Attack("change_a_time", "os.utime(at['folder'] + '/canary', (0, 0)); return True"),
    Attack("list_what_is_installed", "return 'json' in os.listdir(os.path.dirname(os.__file__))"),
    Attack("list_a_folder", "return 'canary' in os.listdir(at['folder'])"),
    Attack("enter_a_folder", "os.chdir(at['folder']); return os.path.exists('canary')"),
    Attack("make_a_folder", "os.mkdir(at['folder'] + '/new'); return True"),
    Attack("make_a_link", "os.symlink('/etc', at['folder'] + '/link'); return True"),
    Attack("make_a_hard_link", "os.link(at['folder'] + '/canary', at['folder'] + '/link'); return True"),
    Attack("make_a_named_pipe", "os.mkfifo(at['folder'] + '/pipe'); return True"),
    Attack(
        "lock_a_file_of_the_library",
        "import fcntl; fcntl.flock(os.open(os.__file__, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB); return True",
    ),
    Attack("import_from_a_folder", "sys.path.insert(0, at['folder']); import payload; return payload.reached"),
    Attack("read_an_installed_package", "return 'import' in open(at['package']).read()"),
    Attack("read_a_device", "return open('/dev/zero', 'rb').read(1) == bytes(1)"),
)

SHARED_PLACES = (
    Attack("make_a_temporary_file", "import tempfile; return tempfile.TemporaryFile().write(b'x') == 1"),
    Attack(
        "leave_a_file_in_tmp",
        "name = f'/tmp/autoif-attack-{os.getpid()}'; open(name, 'x').close(); os.unlink(name); return True",
    ),
    Attack(
        "write_to_shared_memory",
        "name = f'/dev/shm/autoif-attack-{os.getpid()}'; open(name, 'x').close(); os.unlink(name); return True",
    ),
    Attack(
        "share_memory_by_name",
        """
        import _posixshmem as shared
        name = f"/autoif-attack-{os.getpid()}"
        shared.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        shared.shm_unlink(name)
        return True
        """,
    ),
    Attack(
        "make_a_system_wide_segment",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        segment = libc.shmget(0, 4096, 0o1600)
        return segment >= 0 and libc.shmctl(segment, 0, None) == 0
        """,
        (FAIL,),
    ),
    Attack(
        "make_a_system_wide_semaphore",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        semaphore = libc.semget(0, 1, 0o1600)
        return semaphore >= 0 and libc.semctl(semaphore, 0, 0) == 0
        """,
        (FAIL,),
    ),
    Attack(
        "make_a_system_wide_queue",
        """
        import ctypes
        libc = ctypes.CDLL(None)
        queue = libc.msgget(0, 0o1600)
        return queue >= 0 and libc.msgctl(queue, 0, None) == 0
        """,
        (FAIL,),
    ),
)

NETWORK = (
    Attack(
        "connect_over_tcp",
        "import socket; socket.create_connection(('127.0.0.1', at['port']), 1).close(); return True",
    ),
    Attack(
        "send_over_udp",
        "import socket; return socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)) == 1",
    ),
    Attack("listen", "import socket; socket.create_server(('127.0.0.1', 0)).close(); return True"),
    Attack("talk_to_itself", "import socket; a, b = socket.socketpair(); return a.send(b'x') == 1"),
    Attack("look_up_a_name", "import socket; return socket.gethostbyname('localhost').startswith('127.')"),
    Attack(
        "talk_to_the_kernel_s_network",
        "import socket; return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).fileno() >= 0",
    ),
    Attack(
        "listen_under_an_abstract_name",
        "import socket; a = socket.socket(socket.AF_UNIX); a.bind(f'\\0autoif-{os.getpid()}'); return True",
    ),
)

PROCESSES = (
    Attack(
        "fork",
        """
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return os.waitpid(pid, 0)[1] == 0
        """,
    ),
    Attack(
        "clone_by_number",
        """
        import ctypes
        pid = ctypes.CDLL(None).syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], 17, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        return pid > 0
        """,
        (FAIL,),
    ),
    Attack("run_a_program", "import subprocess; return subprocess.run(['/bin/sh', '-c', 'exit 7']).returncode == 7"),
    Attack("run_a_shell", "return os.system('exit 7') == 7 << 8", (FAIL,)),
    Attack("spawn_a_program", "return os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 7'], {}) > 0"),
    Attack("become_another_program", "os.execv('/bin/sh', ['sh', '-c', 'exit 7'])", (ERROR,), (7,)),
    Attack(
        "start_a_thread",
        """
        import threading
        seen = []
        thread = threading.Thread(target=seen.append, args=(1,))
        thread.start()
        thread.join()
        return seen == [1]
        """,
    ),
    Attack(
        "start_a_pool_of_threads",
        "import concurrent.futures as f; return f.ThreadPoolExecutor(1).submit(lambda: True).result()",
    ),
    Attack(
        "become_a_session_of_its_own", "return os.getsid(0) > 0 and (os.getpid() == os.getsid(0) or os.setsid() > 0)"
    ),
    Attack("change_its_priority", "return os.nice(1) >= 1"),
    Attack("choose_its_processor", "os.sched_setaffinity(0, os.sched_getaffinity(0)); return True"),
    Attack(
        "raise_its_own_limits",
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, r.getrlimit(r.RLIMIT_NOFILE)); return True",
    ),
)

ORPHANS = (
    Attack(
        "leave_a_thread_behind",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); return True",
        (ERROR,),
        (HANGS,),
    ),
    Attack(
        "leave_a_process_behind",
        """
        import time
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        return True
        """,
        (ERROR,),
        (HANGS,),
    ),
    Attack(
        "leave_a_daemon_behind",
        """
        import time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 256)
                time.sleep(0.5)
            os._exit(0)
        os.wait()
        return True
        """,
    ),
)

SIGNALS = (
    Attack("signal_another_process", "os.kill(at['pid'], 18); return True"),
    Attack("signal_its_group", "os.kill(0, 18); return True"),
    Attack("signal_every_process", "os.kill(-1, 0); return True"),
    Attack(
        "signal_through_a_handle",
        "import signal; signal.pidfd_send_signal(os.pidfd_open(at['pid']), 18); return True",
    ),
    Attack("stop_itself", "os.kill(os.getpid(), 19)", (ERROR,), (HANGS,)),
    Attack(
        "cancel_timers_and_ignore_signals",
        """
        import signal
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            signal.alarm(0)
        finally:
            while True:
                pass
        """,
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack("set_a_timer_of_its_own", "import signal; return signal.setitimer(signal.ITIMER_REAL, 60) == (0, 0)"),
    Attack(
        "swallow_every_interruption",
        """
        import time
        while True:
            try:
                time.sleep(9)
            except BaseException:
                return True
        """,
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack(
        "outlive_its_own_crash",
        """
        import ctypes, signal
        signal.signal(signal.SIGSEGV, lambda *_: None)
        ctypes.string_at(0)
        """,
        (TIMEOUT,),
        (HANGS,),
    ),
)

DESCRIPTORS = (
    Attack("close_all_descriptors", "os.closerange(0, 256); return False", (FAIL,), (120,)),
    Attack(
        "forge_an_answer_on_every_descriptor",
        """
        for descriptor in range(256):
            try:
                os.write(descriptor, b"\\nANSWER True\\n" + bytes(range(8)) * 4096)
            except OSError:
                pass
        return False
        """,
        (FAIL,),
    ),
    Attack(
        "read_from_every_descriptor",
        "import stat; return any(not stat.S_ISCHR(os.fstat(each).st_mode) for each in range(3))",
        (FAIL,),
    ),
    Attack("open_everything", "return len([os.open(os.__file__, os.O_RDONLY) for _ in range(200)]) == 200"),
    Attack("copy_a_descriptor_without_end", "return len([os.dup(0) for _ in range(200)]) == 200"),
    Attack("open_its_own_input_again", "return os.open('/proc/self/fd/0', os.O_RDONLY) >= 0"),
    Attack(
        "change_the_flags_of_a_shared_descriptor",
        "import fcntl; return fcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK) == 0",
    ),
    Attack("hold_a_pipe", "return len(os.pipe()) == 2"),
)

OUTPUT = (
    Attack(
        "flood_the_output",
        """
        for _ in range(2000):
            print("x" * 10000)
            os.write(2, bytes(10000))
        return False
        """,
        (FAIL,),
        (RETURNS,),
    ),
    Attack("flood_the_detail", "raise ValueError('x' * (1 << 24))", (ERROR,), (1,)),
    Attack("return_a_flood", "return 'x' * (1 << 24)", (ERROR,), judge="len(value) == 1 << 24"),
    Attack(
        "name_its_type_by_a_flood",
        "return type('x' * (1 << 22), (), {})()",
        (ERROR,),
        judge="len(type(value).__name__) == 1 << 22",
    ),
    Attack("forge_lines_of_output", "raise ValueError('x\\r\\nANSWER True\\x1b[2J\\0')", (ERROR,), (1,)),
    Attack("write_a_terminal_s_commands", "print('\\x1b]0;x\\x07ANSWER True'); return False", (FAIL,)),
)

SURROUNDINGS = (
    Attack("read_the_environment", "return os.environ.get('AUTOIF_TEST_SECRET') == 'secret'", (FAIL,)),
    Attack(
        "read_the_environment_in_c",
        """
        import ctypes
        get = ctypes.CDLL(None).getenv
        get.restype = ctypes.c_char_p
        return get(b"AUTOIF_TEST_SECRET") == b"secret"
        """,
        (FAIL,),
    ),
    Attack("read_another_environment", "return len(open(f'/proc/{at[\"pid\"]}/environ').read()) > 0"),
    Attack("read_its_command_line", "return 'python' in open('/proc/self/cmdline').read()"),
    Attack("read_its_memory_map", "return 'python' in open('/proc/self/maps').read()"),
    Attack("write_to_its_own_memory", "return open('/proc/self/mem', 'r+b').fileno() > 0"),
    Attack("find_its_program", "return len(os.readlink('/proc/self/exe')) > 0"),
    Attack("see_other_processes", "return any(name.isdigit() for name in os.listdir('/proc'))"),
    Attack("read_the_machine_s_load", "return len(os.getloadavg()) == 3"),
    Attack("change_its_score", "return open('/proc/self/oom_score_adj', 'w').write('1000') == 4"),
    Attack("find_the_pipeline_s_folder", "return os.getcwd() != '/'", (FAIL,)),
)
