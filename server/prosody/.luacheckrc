-- Prosody's own settings for plugins (its .luacheckrc), as far as these modules need them.
std = "lua54c"
codes = true
max_line_length = 150
read_globals = { "module", "prosody" }
globals = { "module.load", "module.unload", "module.save", "module.restore" }

files["spec/"] = {
	std = "+busted";
	read_globals = { "new_module" };
}
