export * from './apache.js';
export * from './certificate.js';
export * from './component.js';
export * from './nginx.js';
export * from './rclone.js';
export { type AccessLogEntry, type DavServer, freePort, type ServerOptions } from './server.js';
