/** The figures that the file system promises or keeps to. */

/** The largest file: byte positions stay exact integers. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;

/** The target of a symbolic link: what fits into the file that stands for it on the server (Minshall-French form). */
export const SYMLINK_MAX_BYTES = 1024;

/** Names of one file. Each link rewrites the file's list of names, so the bound keeps that cheap. */
export const LINK_MAX = 1000;

/** XATTR_SIZE_MAX of Linux (limits.h): one value. */
export const XATTR_VALUE_MAX_BYTES = 64 * 1024;

/** All names and values of one inode, as ext4 has about; they live in the inode's record. */
export const XATTR_TOTAL_MAX_BYTES = 64 * 1024;

/** st_blksize: the unit that programs like cp(1) read and write in. */
export const IO_SIZE_BYTES = 256 * 1024;

/** The unit of st_blocks, stat(2). */
export const STAT_BLOCK_BYTES = 512;

/** st_size of a directory, as an empty one of ext4 has. */
export const DIRECTORY_SIZE_BYTES = 4096;
