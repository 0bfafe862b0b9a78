-- What the libraries of mod_portcullis need of Prosody, without a running one. Its utilities are those that are installed.

package.path = "/usr/lib/prosody/?.lua;/usr/lib/?.lua;"..package.path;
package.cpath = "/usr/lib/prosody/?.so;/usr/lib/?.so;"..package.cpath;

_G.prosody = { version = "13.0", hosts = {}, core_post_stanza = function () end };

-- A new module of the host example.org, for the libraries that it requires. `timers` are the callbacks to be called later.
function _G.new_module()
	local module = { host = "example.org", timers = {} };
	local env = setmetatable({ module = module }, { __index = _G });
	function module.require(_, name)
		return assert(loadfile("mod_portcullis/"..name..".lib.lua", "t", env))();
	end
	function module.add_timer(_, _, callback)
		table.insert(module.timers, callback);
		return callback;
	end
	function module.hook() end
	function module.log() end
	function module.set_status() end
	return module;
end
