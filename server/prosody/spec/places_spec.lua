describe("places", function ()
	local places, tasks, running;

	before_each(function ()
		tasks, running = {}, {};
		package.loaded["prosody.util.timer"] = {
			add_task = function (delay, callback)
				local task = { delay = delay, callback = callback };
				table.insert(tasks, task);
				return task;
			end;
			stop = function (task) task.callback = nil; end;
		};
		places = new_module():require "places"();
	end);
	after_each(function () package.loaded["prosody.util.timer"] = nil; end);

	-- What is due at once, or what waits for `delay` seconds.
	local function pass(delay)
		local due = tasks;
		tasks = {};
		for _, task in ipairs(due) do
			if task.delay == delay then
				if task.callback then task.callback(); end
			else
				table.insert(tasks, task);
			end
		end
	end

	local function enter(name, keys)
		places.enter(keys, 0.5, function (has_place) running[name] = has_place; end);
	end

	it("are sixteen for a source and for an account; others wait in their order", function ()
		for n = 1, 16 do enter(n, { "@source", "account"..n }); end
		enter("first", { "@source", "x" });
		enter("second", { "@source", "y" });
		enter("elsewhere", { "@other", "x" });
		assert.same({ true, true, nil, nil }, { running[16], running.elsewhere, running.first, running.second });
		places.leave({ "@source", "account1" });
		assert.is_nil(running.first);
		pass(0);
		assert.same({ true, nil }, { running.first, running.second });
		places.leave({ "@source", "x" });
		pass(0);
		assert.is_true(running.second);
	end);

	it("are waited for by whoever needs two of them until both are free", function ()
		for n = 1, 16 do
			enter(n, { "@one", "a"..n });
			enter(16 + n, { "@two"..n, "account" });
		end
		enter("both", { "@one", "account" });
		places.leave({ "@one", "a1" });
		pass(0);
		assert.is_nil(running.both);
		enter("next", { "@one", "z" });
		assert.is_true(running.next);
		places.leave({ "@two1", "account" });
		pass(0);
		assert.is_nil(running.both, "the place of the source went to another meanwhile");
		places.leave({ "@one", "a2" });
		pass(0);
		assert.is_true(running.both);
	end);

	it("are not waited for longer than the time allows, and not by more than two thousand", function ()
		for n = 1, 16 + 2000 do enter(n, { "@source" }); end
		assert.is_nil(running[17]);
		enter("one too many", { "@source" });
		assert.is_false(running["one too many"]);
		places.enter({ "@source" }, nil, function (has_place) running["not now"] = has_place; end);
		assert.is_false(running["not now"]);
		pass(0.5);
		assert.is_false(running[17] or running[2016]);
		for _ = 1, 16 do places.leave({ "@source" }); end
		pass(0);
		enter("later", { "@source" });
		assert.is_true(running.later);
	end);
end);
